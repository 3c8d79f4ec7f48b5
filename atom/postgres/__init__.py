"""PostgreSQL: the only shelf that knows asyncpg.

Each line needs only the lines above it:

    identifier   names, quoted
    driver       what is used of asyncpg, as types
    touched      the tables that a write of one may change
    catalog      tables and columns as they are, by the one query that reads them
    condition    conditions of `config_table`, as text for many statements
    errors       driver errors as the errors of the API
    share        how many connections one caller may use
    lease        connections of a pool: taken, kept at hand and returned
    transaction  one transaction for everything inside it
    database     statements, sent to a pool or in the transaction around them
    replica      reads on replicas, in turn
    named        `client_postgres`: values by `:name`
    bisect       rows that are refused among many, found by halves
    copying      rows written by COPY, and the bad ones among them found
    pooler       a pooler before PostgreSQL: declared in config, and proven
    notify       LISTEN and NOTIFY between workers
"""
