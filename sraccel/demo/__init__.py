"""The demo pair: a tiny trained Wan pair, the world it was trained on, and a score for its videos.

``shapes`` makes captions and clips of moving shapes, ``score`` reads videos back into attributes,
and ``weights/`` holds both trained transformers in diffusers' folder format. Importing this
package imports neither torch nor diffusers.
"""
