"""cscelab: a workbench for deep image hashing.

Reading order: codes -> centers -> model -> dsf -> losses -> methods -> train -> encode -> evaluate -> explain.
"""

__version__ = "0.1.0"
