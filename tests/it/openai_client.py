"""Talks to an OpenAI-protocol server with the official client and prints what it understood.

Usage: openai_client.py BASE_URL KEY MODEL. The server's script: text, tool call, text, tool call,
busy, no money, server error.
"""

import json
import sys

import openai

base, key, model = sys.argv[1:4]
client = openai.OpenAI(base_url=base, api_key=key, max_retries=0, timeout=10)
said = {}
ask = [{"role": "user", "content": "status"}]
tools = [
    {
        "type": "function",
        "function": {
            "name": "changes",
            "description": "Changes of a service.",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {"service": {"type": "string"}},
                "required": ["service"],
                "additionalProperties": False,
            },
        },
    }
]


def create(**more):
    return client.chat.completions.create(model=model, messages=more.pop("messages", ask), **more)


said["models"] = [m.id for m in client.models.list()]

whole = create()
said["whole"] = [whole.choices[0].message.content, whole.choices[0].finish_reason]
said["usage"] = whole.usage.total_tokens > 0

called = create(tools=tools).choices[0].message
said["called"] = [called.tool_calls[0].function.name, called.tool_calls[0].function.arguments]

text, last = "", None
for chunk in create(stream=True, stream_options={"include_usage": True}):
    for choice in chunk.choices:
        text += choice.delta.content or ""
        last = choice.finish_reason or last
    usage = chunk.usage
said["streamed"] = [text, last, usage.total_tokens > 0]

# The client's own assembly of a streamed call.
with client.chat.completions.stream(model=model, messages=ask, tools=tools) as stream:
    final = stream.get_final_completion()
call = final.choices[0].message.tool_calls[0]
said["streamed_call"] = [call.id, call.function.name, call.function.arguments]


def failed(make):
    try:
        make()
        return "nothing"
    except openai.APIStatusError as e:
        after = e.response.headers.get("retry-after")
        return [type(e).__name__, e.status_code, e.code, after]


said["busy"] = failed(create)
said["no_money"] = failed(create)
said["broken"] = failed(create)
stranger = openai.OpenAI(base_url=base, api_key="sk-wrong", max_retries=0)
said["stranger"] = failed(lambda: stranger.models.list())
said["no_model"] = failed(lambda: client.chat.completions.create(model="none", messages=ask))
dangling = [
    *ask,
    {"role": "assistant", "content": None, "tool_calls": [called.tool_calls[0].model_dump()]},
    *ask,
]
said["dangling"] = failed(lambda: create(messages=dangling))
orphan = [*ask, {"role": "tool", "tool_call_id": "x", "content": "y"}]
said["orphan"] = failed(lambda: create(messages=orphan))
loose = json.loads(json.dumps(tools))
del loose[0]["function"]["parameters"]["additionalProperties"]
said["loose"] = failed(lambda: create(tools=loose))
said["choice"] = failed(lambda: create(tool_choice="none"))
said["unknown"] = failed(lambda: create(extra_body={"temprature": 1}))
said["options"] = failed(lambda: create(stream_options={"include_usage": True}))
print(json.dumps(said))
