"""Delivers events of the outbox to their targets: python consumer_outbox.py

Run as many as you like. Stop with SIGTERM: what is being delivered is finished.
"""

from atom.event.run import run_outbox
from function import function_runtime

if __name__ == "__main__":
    run_outbox(function_runtime())
