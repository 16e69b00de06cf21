"""The remove.bg v1.0 surface: its parameters, envelopes, headers and error codes over our service.

Everything it can do the native API can do too; this package only translates.
"""
