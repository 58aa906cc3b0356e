"""The demo: searches the documentation of Python's standard library, with questions and their answers."""
