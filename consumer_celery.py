"""Takes tasks from Celery's broker:  celery -A consumer_celery worker"""

from atom.queue.celery_worker import worker
from function import function_runtime

app = worker(function_runtime())
