"""Events: written with the work they are about, delivered at least once.

In reading order:

    envelope     an event as it travels
    signature    the signature of a webhook
    declaration  config_event and config_webhook
    row_event    the triggers that write row events
    publish      an event written on the caller's transaction
    outbox       the statements on `atom.outbox`
    relay        delivers what waits, each target in a lane of its own
    webhook      signed requests to endpoints
    target       handlers, brokers, SNS and webhooks as targets
    run          the relay in the server, or in a process of its own
"""
