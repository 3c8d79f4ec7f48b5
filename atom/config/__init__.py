"""Config: every key, the layers it is read from, and the files a user adds.

resolve       parsers of values; the layers merged into one config
keys_service  the keys of optional services
keys          KEYS: every key, as data
door          the files a user adds, found and imported
check         what is wrong with a config, all at once
"""
