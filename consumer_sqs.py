"""Takes messages from SQS and does what they ask for:  python consumer_sqs.py"""

from atom.queue.run import run_consumer
from function import function_runtime

if __name__ == "__main__":
    run_consumer("sqs", function_runtime())
