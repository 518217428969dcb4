"""The demo pair: two tiny trained Wan models, the captions they know, a score for their videos.

In: a caption of moving shapes. Out: the pair's weights (`weights/`, in diffusers' folder format),
the arguments it is called with, and how much of a caption a video shows. Importing the package
imports neither torch nor diffusers.

Others use: `captions`, `fidelity`, `pair`, `pipeline`, `score`, `shapes`.
"""
