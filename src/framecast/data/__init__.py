"""Sources of clips, one file each."""
