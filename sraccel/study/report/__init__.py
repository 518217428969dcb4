"""What a study found, for people: `table` (terminal), `page` (HTML), CSV files.

In comes a `StudyReport`; `outputs.save_report` writes all of its files. Numbers are put into words
by `sraccel.report.words`; `estimates`, `cells` and `headline` hold what is said of studies alone.
"""
