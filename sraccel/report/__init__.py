"""What a run did, cost and gained: as data, in words, and as a page.

In comes a run that has ended (`build`), or its JSON. Out come `model.Report`, and what people see
of it: `table` (terminal), `page` (HTML, and the timeline as SVG), `notebook`. They all take their
words from `words`, `headline`, `contributions` and `steps`. `origin` and `repetition` are about
making a video again.

Others use: build, headline, model, notebook, origin, page, repetition, side_by_side, steps, table,
words.
"""
