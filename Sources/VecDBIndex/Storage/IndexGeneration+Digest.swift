import Synchronization
import VecDBBytes

extension IndexGeneration {
  /// SHA-256 over the canonical arrays of codes and graph: for each its name, stride, length and
  /// the hashes of its 1 MiB blocks, then the counts, the entry point and the quantiser. Equal logs
  /// give equal digests. For the writer's thread; reads all those arrays.
  package func graphDigest() -> Digest {
    var hasher = SHA256()
    hasher.update(Array("vecdb graph 1".utf8))
    hasher.update(parameters.encode())
    hasher.update(UInt64(slotCount.load(ordering: .relaxed)))
    hasher.update(UInt64(graphCount.load(ordering: .relaxed)))
    hasher.update(UInt64(entryPoint.load(ordering: .relaxed)))
    let free = freeCount.load(ordering: .relaxed)
    if free > 0 {
      hasher.update(UInt64(free))
      hasher.update(freeHead)
    }
    var writer = ByteWriter()
    quantizer?.write(to: &writer)
    hasher.update(UInt32(writer.count))
    hasher.update(writer.bytes)
    if parameters.codes != .bytes {
      var writer = ByteWriter()
      writer.write(UInt8(usesRows ? 1 : 0))
      writer.write(excessLimit)
      codeFit.write(to: &writer)
      hasher.update(writer.bytes)
    }
    for array in arrays.graph {
      hasher.update(Array(array.name.utf8))
      hasher.update(UInt64(array.strideBytes))
      hasher.update(UInt64(array.lengthBytes))
      var start = 0
      while start < array.lengthBytes {
        let length = min(RowArray.blockSizeBytes, array.lengthBytes - start)
        hasher.update(
          SHA256.hash(UnsafeRawBufferPointer(start: array.base + start, count: length)))
        start += length
      }
    }
    return hasher.finalize()
  }

  /// The data digest computed anew from the live records' hashes, to be compared with `dataDigest`.
  /// For the writer's thread.
  package func recomputeDataDigest() -> MultisetDigest {
    var digest = MultisetDigest()
    for slot in 0..<slotCount.load(ordering: .relaxed) where diedLSN(slot) == .max {
      digest.insert(Digest(bytes: arrays.hashes.row(slot)))
    }
    return digest
  }
}
