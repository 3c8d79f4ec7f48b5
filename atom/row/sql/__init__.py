"""Requests turned into statements. Pure: nothing here reaches a database.

Stages, with frozen types between them: a query string becomes a `Query`, a read plan
fits it to the catalog, `select` writes the text. Read in this order:

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
"""
