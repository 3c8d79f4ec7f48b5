"""What routes offer: a noun a file, its verbs the functions."""
