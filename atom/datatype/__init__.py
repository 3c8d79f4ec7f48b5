"""What a column takes, and how its values are read and written.

Read in this order; each line needs only the lines above it:

    datatype   datatypes by family
    geography  places on the earth
    exact      numbers that keep every digit
    takes      what a datatype takes, in words
    value      text and JSON made into Python values, by the column's datatype
    limit      the length, size and precision a column accepts
    operator   what a filter may ask of a datatype
"""
