"""Real services for tests, one file each; what a machine cannot have is absent.

server.py    one program on loopback: started, killed, started again on its data
shared.py    one server a test run, whichever processes the run has; notes for the end
cache.py     what is built once a machine, outside of the checkout
fixture.py   the fixtures: `rabbitmq_url`, …
redis.py     the embedded Valkey
rabbitmq.py  RabbitMQ of the system
mongodb.py   FerretDB, built by Go
kafka.py     Kafka, of the Java registry; or librdkafka's mock cluster
aws.py       moto
smtp.py      aiosmtpd, into a Maildir
web.py       OpenAI, PostHog, Sentry, Fast2SMS, Resend, Google, webhooks

A test that kills its server opens one of its own:
`with own("rabbitmq", tmp_path) as server: …; server.kill(); server.start()`.
"""
