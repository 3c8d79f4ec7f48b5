"""Requests turned into statements; only `run.py` sends one.

Stages, with frozen types between them: a query string becomes a `Query`, a read plan
fits it to the catalog, `select` writes the text, `run` sends it with its values.
Read in this order; each line needs only the lines above it:

    identifier     names, quoted
    datatype       datatypes by family
    catalog        tables and columns as they are
    geography      places on the earth
    exact          numbers that keep every digit
    takes          what a datatype takes, in words
    value          text and JSON made into Python values, by the column's datatype
    limit          what a column cannot hold although the datatype is right
    operator       what a filter may say
    filter         `<column>=<operator>,<value>`
    group          or=(…) and and=(…): filters held together
    query          what a caller asks of a table, as data
    statement      a text, its values, and the rows it may reach
    clause         clauses that several statements share
    keyset         the rows after the last one of a page
    cursor         where that page ended, as a text a caller hands back
    foreign_key    which column refers to which table
    relation_text  rows in relation to a row, as SQL
    relation       relation=…: which of those rows are asked for
    query_string   everything a read may ask, made into a query
    select         the statement of a read
    read_plan      a query fitted to the catalog
    parent         the parents of one's own rows
    write          insert, update, delete
    upsert         inserts that meet rows which are there already
    trial          one value alone, to find which of many is refused
    message        messages between users
    profile        one user
    transfer       whole tables in and out, and what an admin writes
    driver_error   what an error of the driver means to a caller
    lease          connections kept at hand
    run            statements, sent to a pool
"""
