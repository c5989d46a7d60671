"""The command line: `main.py` dispatches, and each verb has a file."""
