"""The numbers of the readme. `python -m bench` measures them and writes result.md."""
