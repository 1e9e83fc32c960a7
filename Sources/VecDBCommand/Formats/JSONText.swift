import VecDB

/// The JSON that the command reads and writes, in the library's canonical form.
enum JSONText {
  /// `{"key":"17","vector":[…],"metadata":{…}}` and the end of the line.
  static func line(
    _ record: VectorRecord, includeVector: Bool, includeVersion: Bool = false
  ) -> [UInt8] {
    var writer = JSONWriter(reservingCapacity: includeVector ? record.vector.count * 8 + 256 : 256)
    writer.beginObject()
    writer.name("key")
    writer.write(record.key)
    if includeVector {
      writer.name("vector")
      writer.write(vector: record.vector)
    }
    writer.name("metadata")
    writer.write(record.metadata)
    if let expiry = record.expiryMilliseconds {
      writer.name("expiryMilliseconds")
      writer.write(expiry)
    }
    if includeVersion, let version = record.version {
      writer.name("version")
      writer.write(Int64(clamping: version))
    }
    writer.endObject()
    writer.endLine()
    return writer.bytes
  }

  /// `{"query":0,"hits":[{"key":"17","distance":0.12,"metadata":{…}}]}` and the end of the line.
  static func searchLine(_ hits: [Hit], query: Int) -> [UInt8] {
    var writer = JSONWriter(reservingCapacity: 128 * (hits.count + 1))
    writer.beginObject()
    writer.name("query")
    writer.write(query)
    write(hits, to: &writer)
    writer.endObject()
    writer.endLine()
    return writer.bytes
  }

  /// `{"query":0,"groups":[{"value":"a","hits":[…]}]}` and the end of the line.
  static func groupsLine(_ groups: [HitGroup], query: Int) -> [UInt8] {
    var writer = JSONWriter(reservingCapacity: 512 * (groups.count + 1))
    writer.beginObject()
    writer.name("query")
    writer.write(query)
    writer.name("groups")
    writer.beginArray()
    for group in groups {
      writer.beginObject()
      writer.name("value")
      writer.write(group.value)
      write(group.hits, to: &writer)
      writer.endObject()
    }
    writer.endArray()
    writer.endObject()
    writer.endLine()
    return writer.bytes
  }

  private static func write(_ hits: [Hit], to writer: inout JSONWriter) {
    writer.name("hits")
    writer.beginArray()
    for hit in hits {
      writer.beginObject()
      writer.name("key")
      writer.write(hit.key)
      writer.name("distance")
      writer.write(hit.distance)
      if let metadata = hit.metadata {
        writer.name("metadata")
        writer.write(metadata)
      }
      if let vector = hit.vector {
        writer.name("vector")
        writer.write(vector: vector)
      }
      writer.endObject()
    }
    writer.endArray()
  }

  static func text(_ metadata: Metadata) -> String {
    var writer = JSONWriter()
    writer.write(metadata)
    return writer.text
  }

  static func text(_ value: MetadataValue) -> String {
    var writer = JSONWriter()
    writer.write(value)
    return writer.text
  }

  static func text(_ vector: [Float]) -> String {
    var writer = JSONWriter()
    writer.write(vector: vector)
    return writer.text
  }
}
