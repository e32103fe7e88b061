"""Writes the small videos beside this file in the way of other tools: python make.py (needs PyAV and numpy).

Frame n shows n in eight black or white blocks, bit 0 first; below them are a red, a green, a blue and a grey block.
"""

from fractions import Fraction

import av
import numpy as np

WIDTH, HEIGHT, FRAMES = 96, 64, 40
COLOURS = [(200, 30, 40), (20, 180, 60), (40, 60, 210), (128, 128, 128)]


def frame(number):
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for bit in range(8):
        image[:32, bit * 12 : bit * 12 + 12] = 235 if number >> bit & 1 else 20
    for block, colour in enumerate(COLOURS):
        image[32:, block * 24 : block * 24 + 24] = colour
    return image


def write(name, codec, options, matrix=None, pix_fmt="yuv420p", frames=FRAMES, container=None, times_ms=None):
    with av.open(name, "w", options=container or {}) as out:
        stream = out.add_stream(codec, rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        if times_ms:
            stream.codec_context.time_base = Fraction(1, 1000)
        if matrix:
            stream.codec_context.colorspace = matrix
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(frame(number), "rgb24")
            if matrix:
                picture = picture.reformat(format=pix_fmt, dst_colorspace=matrix)
            if times_ms:
                picture.pts, picture.time_base = times_ms[number], Fraction(1, 1000)
            out.mux(stream.encode(picture))
        out.mux(stream.encode())


def cut(name, source, seconds):
    """Cuts off the beginning as `ffmpeg -ss SECONDS -i SOURCE -c copy NAME` does: frames from the key frame on are hidden."""
    with av.open(source) as whole, av.open(name, "w") as out:
        stream = out.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.dts is None:
                continue
            begin = int(seconds / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - begin, packet.dts - begin, stream
            out.mux(packet)


if __name__ == "__main__":
    # LeRobot's default settings
    write("av1.mp4", "libsvtav1", {"g": "2", "crf": "30", "preset": "12"})
    # default settings of ffmpeg: reordered frames, distant key frames
    write("x264_reordered.mp4", "libx264", {"g": "100", "bf": "3", "crf": "24", "x264-params": "b-pyramid=normal"}, frames=200)
    write("x264_bt709.mp4", "libx264", {"g": "2", "crf": "18"}, matrix=1, frames=4)
    # LeRobot's settings for vcodec h264
    write("x264_lerobot.mp4", "libx264", {"g": "2", "crf": "30"})
    # fragmented, as written during recording; also reordered
    write("x264_fragments.mp4", "libx264", {"g": "8", "bf": "2", "crf": "30"},
          container={"movflags": "frag_keyframe+empty_moov+default_base_moof"})
    # two episodes in one file, the second 3 ms late
    write("x264_late.mp4", "libx264", {"g": "2", "bf": "0", "crf": "30"}, frames=10,
          times_ms=[0, 100, 200, 300, 400, 503, 603, 703, 803, 903])
    # the first frame is shown at 0.2 s, after an empty edit
    write("x264_after_empty_edit.mp4", "libx264", {"g": "2", "bf": "0", "crf": "30"}, frames=12,
          times_ms=[200 + 100 * number for number in range(12)])
    # key frames of which only the first is an IDR picture
    write("x264_open_gop.mp4", "libx264", {"g": "5", "bf": "2", "crf": "30", "x264-params": "open-gop=1"})
    # the first five frames are only decoded
    cut("x264_cut.mp4", "x264_reordered.mp4", 0.5)
    write("x264_lossless.mp4", "libx264", {"g": "2", "qp": "0"}, frames=4)
    write("hevc.mp4", "libx265", {"g": "2", "x265-params": "log-level=none"}, frames=4)
    write("av1_10bit.mp4", "libsvtav1", {"g": "2", "preset": "12"}, pix_fmt="yuv420p10le", frames=4)
