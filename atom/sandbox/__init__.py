"""SQL that a caller wrote, run within bounds.

known   functions such SQL may use
proof   whether a statement reads only what may be read
judge   the verdict on a statement
runner  `/admin/db-runner`
"""
