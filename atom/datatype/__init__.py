"""Datatypes: one family a file, and what the other shelves ask of them.

Read in this order; each line needs only the lines above it:

    family     what a family declares
    exact      JSON that keeps every digit of a number
    geography  places: parsed, measured, written as GeoJSON
    text       text
    number     whole, exact and floating-point numbers
    boolean    true and false
    moment     moments, days and times of day
    uuids      UUIDs
    json       JSON values
    hstore     keys and values
    place      points and PostGIS's geography
    binary     bytes
    array      arrays
    other      text that PostgreSQL parses: networks, ranges, bits and the rest
    families   all of them
    datatype   a datatype by the name PostgreSQL gives it
    declared   one spelling of a declared datatype, and the indexes it can have
    value      text and JSON parsed for a column
    answer     the expression for what is answered of a column
    limit      the length, size and precision a column accepts
    operator   the operators a filter may use, and the families they suit
"""
