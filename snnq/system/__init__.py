"""Files that are whole or not there, locks, threads, memory and signals: what the operating system
does for every other room, and nothing about networks. Uses no other room. Start with `files.py`."""
