"""Messages between users.

statement  the SQL
inbox      received messages, threads, and deletion
"""
