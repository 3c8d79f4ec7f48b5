"""Takes messages from Kafka and does what they ask for:  python consumer_kafka.py"""

from atom.queue.run import run_consumer
from function import function_runtime

if __name__ == "__main__":
    run_consumer("kafka", function_runtime())
