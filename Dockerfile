# Both of the README's commands, without a network once it is built:
#
#     docker build -t snnq .
#     docker run --rm --network none -v "$PWD/results:/snnq/results" snnq make study
#     docker run --rm --network none snnq make test
#     docker run --rm -p 8888:8888 snnq jupyter lab --ip 0.0.0.0 --allow-root
FROM python:3.11-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc git libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1
WORKDIR /snnq
COPY . .
RUN make .venv/.installed
ENV PATH=/snnq/.venv/bin:$PATH
CMD ["make", "study"]
