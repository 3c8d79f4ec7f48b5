"""Takes messages from RabbitMQ and does what they ask for."""

from atom.queue.run import run_consumer
from function import function_runtime

if __name__ == "__main__":
    run_consumer("rabbitmq", function_runtime())
