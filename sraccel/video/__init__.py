"""Videos: frames of a pipeline's output, .mp4 files, and the metrics and scores of frames.

In: what a pipeline returned. Out: tensors of frames in [0, 1], files, numbers.

Others use: `frames.frames_of`, `mp4.save_video`, `mp4.load_video`, `mp4.FRAME_SIZE`,
`metrics.PSNR_CAP`, and the base classes `metric.Metric` (a video against the bare one) and
`score.Score` (a video by itself).
"""
