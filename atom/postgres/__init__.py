"""PostgreSQL: the only shelf that knows asyncpg. Read in this order:

identifier   names, quoted
condition    SQL conditions of an operator, over the values of a caller
driver       what is used of asyncpg, as types
catalog      tables and columns as they are, by the one query that reads them
errors       driver errors as the errors of the API
lease        connections of a pool, taken, kept at hand and returned
database     statements, sent to a pool or in the transaction around them
transaction  connections of a pool, and transactions on them
named        `client_postgres`: values by `:name`
copying      rows written by COPY, and the bad ones among them found
pooler       a pooler before PostgreSQL: declared, detected or refused
notify       LISTEN and NOTIFY between workers
"""
