"""Where answers come from: one small interface, and an adapter for each kind of provider.

`base` is the interface, `choose` finds the adapter of a `provider:model` name and checks all that can be
checked before a question is asked, `patience` asks with bounded concurrency and retries, `prices` knows what
it costs. Only `claude` imports the SDK of Anthropic and only `compatible` that of OpenAI, when first needed.
"""
