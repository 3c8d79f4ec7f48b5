"""Messages through a broker: delivered at least once, with one effect.

A consumer takes a delivery, reads its message, finds the handlers, and settles it once
their effect and the mark that it was done are committed together. Begin with
`consumer`; in order:

    broker    what a broker is: deliveries come in, messages go out
    message   what a message asks for
    handler   what messages may ask for, of Atom and of a project
    shipped   the functions that every consumer has
    effect    one attempt at a message
    lanes     the messages in hand, in the order in which they may be handled
    consumer  takes messages until it is stopped
    redis_subscription  a consumer of a stream of Redis
    redis     Redis Streams
    rabbitmq_message  messages of RabbitMQ, read and moved
    rabbitmq  quorum queues of RabbitMQ
    kafka_subscription  a consumer of a topic of Kafka
    kafka     topics of Kafka
    sqs_message  a message as SQS keeps it
    sqs_setup  the queues of a channel on SQS
    sqs       queues of SQS
    celery_wire  a connection of Celery's broker, in a thread
    celery    tasks of Celery
    all       the brokers by name
    run       a consumer process
    celery_batch  messages that a process of its worker takes together
    celery_worker  a Celery worker
"""
