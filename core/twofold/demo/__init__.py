"""What every machine can search: the documentation of Python's standard library, with questions and their answers."""
