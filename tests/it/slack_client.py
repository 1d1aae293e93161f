"""Talks to a Slack server with the official client and prints what it understood.

Usage: slack_client.py BASE_URL BOT_TOKEN APP_TOKEN CHANNEL CONTROL_URL USER.
"""

import json
import sys
import threading
import urllib.request

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse

base, bot_token, app_token, channel, control, user = sys.argv[1:7]
client = WebClient(token=bot_token, base_url=base)
said = {}


def failed(make):
    try:
        make()
        return "nothing"
    except SlackApiError as e:
        after = e.response.headers.get("Retry-After")
        return [e.response.status_code, e.response["error"], after]


me = client.auth_test()
said["auth"] = [me["user_id"], me["bot_id"], "chat:write" in me.headers["x-oauth-scopes"]]

button = {
    "type": "button",
    "action_id": "a",
    "value": "v",
    "text": {"type": "plain_text", "text": "Press"},
}
posted = client.chat_postMessage(
    channel=channel,
    text="hello",
    blocks=[{"type": "actions", "elements": [button]}],
    metadata={"event_type": "check", "event_payload": {"key": "one"}},
)
root = posted["ts"]
client.chat_update(channel=channel, ts=root, text="hello again")
client.chat_update(channel=channel, ts=root, text="hello", blocks=posted["message"]["blocks"])
client.chat_postMessage(channel=channel, thread_ts=root, text="reply", reply_broadcast=True)
history = client.conversations_history(channel=channel, include_all_metadata=True)
said["history"] = [
    [m["text"], m.get("metadata", {}).get("event_payload", {}).get("key")]
    for m in history["messages"]
]
plain = client.conversations_history(channel=channel)
said["without"] = any("metadata" in m for m in plain["messages"])
replies = client.conversations_replies(channel=channel, ts=root)
said["replies"] = [m["text"] for m in replies["messages"]]
names = []
for page in client.conversations_list(limit=1):
    names += [c["name"] for c in page["channels"]]
said["channels"] = names

upload = client.files_upload_v2(
    channel=channel, thread_ts=root, filename="a.png", content=b"not a picture", title="A"
)
said["file"] = [upload["file"]["name"], upload["file"]["title"]]
last = client.conversations_replies(channel=channel, ts=root)["messages"][-1]
said["shared"] = last["files"][0]["name"]
client.reactions_add(channel=channel, timestamp=root, name="eyes")
client.pins_add(channel=channel, timestamp=root)
client.chat_postEphemeral(channel=channel, user=user, text="only you")
said["person"] = client.users_info(user=user)["user"]["profile"]["email"]

# A stream: its own words, no edit while it is open, no words once it is over.
stream = client.chat_stream(
    channel=channel, thread_ts=root, recipient_user_id=user, recipient_team_id=me["team_id"],
    buffer_size=1,
)
begun = stream.append(markdown_text="one ")
stream.append(markdown_text="two ")
at = {"channel": channel, "ts": begun["ts"]}
said["streamed"] = [failed(lambda: client.chat_update(text="x", **at))]
ended = stream.stop(
    markdown_text="three", metadata={"event_type": "check", "event_payload": {"key": "two"}}
)
said["streamed"] += [
    ended["message"]["text"],
    failed(lambda: client.chat_appendStream(markdown_text="four", **at)),
    failed(lambda: client.chat_startStream(channel=channel, thread_ts=root, markdown_text="x")),
    client.chat_update(text="whole", **at)["ok"],
]

# A channel with its topic, people and bookmarks.
made = client.conversations_create(name="inc-1-slow")["channel"]["id"]
client.conversations_setTopic(channel=made, topic="open & bad")
client.conversations_invite(channel=made, users=[user])
link = client.chat_getPermalink(channel=channel, message_ts=root)["permalink"]
client.bookmarks_add(channel_id=made, title="Incident message", type="link", link=link)
said["room"] = [
    client.conversations_info(channel=made)["channel"]["topic"]["value"],
    [b["title"] for b in client.bookmarks_list(channel_id=made)["bookmarks"]],
    failed(lambda: client.conversations_create(name="inc-1-slow")),
    failed(lambda: client.conversations_create(name="Not So")),
    failed(lambda: client.conversations_setTopic(channel=made, topic="x" * 251)),
    failed(lambda: client.conversations_invite(channel=made, users=[user])),
    client.conversations_archive(channel=made)["ok"],
    failed(lambda: client.conversations_archive(channel=made)),
    failed(lambda: client.chat_postMessage(channel=made, text="x")),
]

long = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}
said["long"] = failed(lambda: client.chat_postMessage(channel=channel, text="t", blocks=[long]))
said["nowhere"] = failed(lambda: client.chat_postMessage(channel="C404", text="t"))
said["again"] = failed(lambda: client.reactions_add(channel=channel, timestamp=root, name="eyes"))
said["stranger"] = failed(lambda: WebClient(token="xoxb-none", base_url=base).auth_test())
said["trigger"] = failed(lambda: client.views_open(trigger_id="T.none", view={"type": "modal"}))

# Socket Mode: an event, a click that opens a form, and a command that is answered.
socket = SocketModeClient(app_token=app_token, web_client=WebClient(token=bot_token, base_url=base))
heard, opened = [], []
ready = threading.Event()
modal = {
    "type": "modal",
    "title": {"type": "plain_text", "text": "A form"},
    "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "words"}}],
}


def on_request(_, request):
    payload = {"text": "done"} if request.type == "slash_commands" else None
    socket.send_socket_mode_response(SocketModeResponse(request.envelope_id, payload))
    kind = request.payload.get("type") or request.payload.get("command")
    heard.append([request.type, kind])
    if request.type == "interactive":
        answer = client.views_open(trigger_id=request.payload["trigger_id"], view=modal)
        opened.append(answer["view"]["title"]["text"])
        twice = lambda: client.views_open(trigger_id=request.payload["trigger_id"], view=modal)
        opened.append(failed(twice))
        ready.set()


def on_message(_, message, __=None):
    if isinstance(message, dict) and message.get("type") == "hello":
        greeted.set()


greeted = threading.Event()
socket.message_listeners.append(lambda c, m, raw: on_message(c, m))
socket.socket_mode_request_listeners.append(on_request)
socket.connect()
greeted.wait(10)


def do(what, **more):
    body = json.dumps(more).encode()
    with urllib.request.urlopen(urllib.request.Request(control + what, body), timeout=10) as r:
        return json.load(r)


said["acks"] = [
    do("say", user=user, channel=channel, text="hello bot")["acknowledged"],
    do("command", user=user, channel=channel, text="status")["payload"],
    do("click", user=user, channel=channel, ts=root)["acknowledged"],
]
ready.wait(10)
said["heard"], said["opened"] = heard, opened
socket.close()
print(json.dumps(said))
