"""The inside. Nothing here is named config_, client_, cache_ or function_.

Read in this order; each line needs only the lines above it:

    errors      what can go wrong, and how it is told to a caller
    reply       the two JSON shapes of every answer
    settings    how layers of config become one dict; keys: every key, as data
    discover    the files a user dropped in
    route       the routes of the application, as a table
    policy      one config_api entry, read; policy_table: whose a request is
    exchange    one request and its response as the steps see them; the one middleware
    step/       the pipeline, one config_api key to a file
    port        what steps and features ask of the world; adapter/ answers
    client/     the optional services, one to a file; embedded/ brings two of them
    sql/        requests turned into statements
    schema/     declared tables, live tables, and the steps from one to the other
    feature/    what routes offer, one noun to a file
    explain     why a user may call a route, or may not
    bus         what one worker tells the others
    wire        ports and adapters, joined
    serve       `python main.py`; command/: the words that may follow it
"""
