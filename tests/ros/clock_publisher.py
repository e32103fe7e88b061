"""Publishes /clock 200 times a second: the system's time, shifted by what standard input says.

A line with a number shifts the time by as many seconds, from then on; `pause` stops it and `go` lets it go on.
"""

import sys
import threading
import time

import rclpy
from rclpy.time import Time
from rosgraph_msgs.msg import Clock

PERIOD_S = 0.005


class ShiftedClock:
    def __init__(self):
        self.shift, self.runs = 0.0, True

    def read(self):
        for line in map(str.strip, sys.stdin):
            if line in ("pause", "go"):
                self.runs = line == "go"
            elif line:
                self.shift += float(line)

    def now(self):
        return Time(nanoseconds=time.time_ns() + round(self.shift * 1e9)).to_msg()


def main():
    rclpy.init()
    clock = ShiftedClock()
    publisher = rclpy.create_node("clock_publisher").create_publisher(Clock, "/clock", 1)
    threading.Thread(target=clock.read, daemon=True).start()
    while rclpy.ok():
        if clock.runs:
            publisher.publish(Clock(clock=clock.now()))
        time.sleep(PERIOD_S)


if __name__ == "__main__":
    main()
