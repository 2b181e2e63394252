"""Telling partners what changed: one worker per partner, fed by the change feed.

``pace`` and ``stream`` are pure: when may something be sent, and what is next. ``courier`` sends one
object and knows each module's manners. ``worker`` ties them to one partner.
"""
