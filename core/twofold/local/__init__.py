"""Local models: torch on this machine. Needs the extra `local`."""
