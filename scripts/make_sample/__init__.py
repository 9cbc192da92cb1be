"""The simulator behind the bundled sample: a made-up shop, its customers, orders and reviews.

Run it from the repository root with ``python -m scripts.make_sample``; docs/sample.md says in
plain words how the customers behave, and each module documents its own part of the model.
"""
