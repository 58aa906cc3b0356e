"""Local models, run by torch on this machine. Needs the extra `local`."""
