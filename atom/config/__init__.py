"""Config: every key, the layers it is read from, and the files a user adds.

In reading order:

    parse    parsers of single values
    merge    the dicts that several files add to, over layer 0
    resolve  a key as data; the layers merged into one read-only config
    key_account  the keys of accounts
    key_otp  the keys of one-time codes
    key_mfa  the keys of the second factor
    key_event  the keys of events
    key_stream  the keys of streams
    key_token  the keys of sessions
    key_audit  the keys of the audit
    key_mail   the keys of mail
    key_file   the keys of files
    key_queue  the keys of queues
    keys     KEYS: every key
    part     PostgreSQL and Redis given in parts
    door     DOORS: every way to extend Atom, found and imported
    read     config files, `.env` and the environment
    secret   the columns that never leave the server
    table    `config_table` and its scopes: which rows each tier reaches
    check    problems of config as a whole
    view     typed views, one for each shelf
"""
