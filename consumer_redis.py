"""Takes messages from Redis and does what they ask for:  python consumer_redis.py"""

from atom.queue.run import run_consumer
from function import function_runtime

if __name__ == "__main__":
    run_consumer("redis", function_runtime())
