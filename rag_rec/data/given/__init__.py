"""Splits that files give: training, validation and test rows as others published them."""
