"""Users: sign-up, login, sessions, tokens, rights. Read in this order:

token     tokens, encoded and decoded
password  password hashes
identity  usernames, addresses and codes, normalized and checked
access    api ids a user may call
session   refresh tokens and revocation
login     the logins, and the throttle on guesses
profile   statements about one user
root      the root user
update    changes of a user's own row
account   sign-up, profile, deletion
"""
