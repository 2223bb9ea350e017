"""A module or a folder a stage; each reads the directories of earlier stages and writes its own.

`cosmogan_jax.stages.<verb>` is the stage; what else its folder holds is its own.
"""
