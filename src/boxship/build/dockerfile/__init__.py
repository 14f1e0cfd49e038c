"""The Dockerfile front end: text, instructions, stages, and the graph they make.

parse ──▶ read ──▶ stages ──▶ convert ──▶ build.ops
(nodes)  (typed)   (which     (vertices and
                    counts)    the image's config)
"""
