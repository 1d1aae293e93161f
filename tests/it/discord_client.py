"""Talks to a Discord server with the official-style client and prints what it understood.

Usage: discord_client.py BASE_URL GATEWAY_URL TOKEN GUILD CHANNEL FORUM. Its addresses are class
attributes of the library: `discord.http.Route.BASE` and `DiscordWebSocket.DEFAULT_GATEWAY`.
The other side presses "Press" and "Open", fills in the form and uses `/nightjar ask`.
"""

import asyncio
import io
import json
import sys

import discord
import yarl
from discord import app_commands
from discord.gateway import DiscordWebSocket
from discord.http import Route

base, gateway, token, guild_id, channel_id, forum_id = sys.argv[1:7]
Route.BASE = f"{base}/api/v10"
DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)

client = discord.Client(intents=discord.Intents(guilds=True, guild_messages=True))
tree = app_commands.CommandTree(client)
said = {}
done = {name: asyncio.Event() for name in ("press", "open", "form", "ask")}


class Form(discord.ui.Modal, title="A form"):
    reason = discord.ui.TextInput(label="Why")

    async def on_submit(self, interaction):
        said["form"] = self.reason.value
        await interaction.response.defer()
        done["form"].set()


class Buttons(discord.ui.View):
    @discord.ui.button(label="Press")
    async def press(self, interaction, _button):
        said["press"] = [interaction.user.name, interaction.message.content]
        await interaction.response.send_message("taken", ephemeral=True)
        route = Route(
            "POST",
            "/interactions/{interaction_id}/{interaction_token}/callback",
            interaction_id=interaction.id,
            interaction_token=interaction.token,
        )
        said["twice"] = await failed(client.http.request(route, json={"type": 6}))
        await interaction.followup.send("more", ephemeral=True)
        done["press"].set()

    @discord.ui.button(label="Open")
    async def open(self, interaction, _button):
        await interaction.response.send_modal(Form())
        # The other side sends the form once it sees this: the client knows its form only now.
        await interaction.message.add_reaction("👀")
        done["open"].set()


group = app_commands.Group(name="nightjar", description="Incidents")


@group.command(description="Ask")
async def ask(interaction, question: str):
    await interaction.response.defer()
    answer = await interaction.edit_original_response(content=f"answer to {question}")
    said["ask"] = [interaction.channel.name, answer.content]
    done["ask"].set()


async def failed(call):
    try:
        await call
        return "nothing"
    except discord.HTTPException as e:
        return [e.status, e.code]


async def work():
    await client.wait_until_ready()
    guild = client.get_guild(int(guild_id))
    said["guild"] = [guild.name, [c.name for c in guild.channels], client.user.name]
    tree.add_command(group, guild=guild)
    said["commands"] = [c.name for c in await tree.sync(guild=guild)]
    channel = client.get_channel(int(channel_id))

    embed = discord.Embed(title="One", description="first", colour=0xFF0000)
    message = await channel.send("hello", embed=embed, view=Buttons())
    said["sent"] = [message.content, message.embeds[0].title, message.author.bot]
    buttons = message.components[0].children
    said["buttons"] = [b.label for b in buttons]
    await asyncio.wait_for(done["press"].wait(), 20)
    await asyncio.wait_for(done["open"].wait(), 20)
    await asyncio.wait_for(done["form"].wait(), 20)
    await asyncio.wait_for(done["ask"].wait(), 20)

    edited = await message.edit(content="hello again")
    said["edited"] = [edited.content, edited.edited_at is not None]
    thread = await message.create_thread(name="the thread")
    said["thread"] = [thread.name, thread.id == message.id, thread.parent.id == channel.id]
    await thread.send("in it")
    await thread.edit(archived=True)
    said["thread_again"] = await failed(message.create_thread(name="the thread"))
    said["history"] = [m.content async for m in channel.history(limit=5)]
    said["in_thread"] = [m.content async for m in thread.history()]

    picture = discord.Embed().set_image(url="attachment://chart.png")
    file = discord.File(io.BytesIO(b"png"), "chart.png")
    shown = await channel.send(embed=picture, file=file)
    said["file"] = [shown.attachments[0].filename, shown.embeds[0].image.url is not None]
    forum = client.get_channel(int(forum_id))
    post, first = await forum.create_thread(name="a post", content="first words")
    said["post"] = [post.name, first.content, post.id == first.id]
    await message.pin()

    said["too_long"] = await failed(channel.send("x" * 2001))
    many = [discord.Embed(description="x" * 3001) for _ in range(2)]
    said["too_much"] = await failed(channel.send(embeds=many))
    said["empty"] = await failed(channel.send(""))
    said["no_message"] = await failed(channel.fetch_message(1))
    said["no_channel"] = await failed(client.fetch_channel(1))
    await client.close()


async def main():
    async with client:
        await asyncio.wait_for(asyncio.gather(client.start(token), work()), 60)


asyncio.run(main())
print(json.dumps(said))
