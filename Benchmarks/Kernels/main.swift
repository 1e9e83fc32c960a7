import Glibc
import VecDBKernels

// How fast the distance kernels read vectors, in gigabytes a second, beside what the memory gives:
// lines of JSON. Started by scripts/bench --kernels, which runs the peers' kernels on the same
// shapes.

func seconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// Bytes a second: the best of some rounds, each at least a tenth of a second long.
func rate(bytes: Int, _ body: () -> Void) -> Double {
  var best = 0.0
  for _ in 0..<5 {
    var passes = 0
    let start = seconds()
    var end = start
    repeat {
      body()
      passes += 1
      end = seconds()
    } while end - start < 0.1
    best = max(best, Double(bytes * passes) / (end - start))
  }
  return best
}

func report(
  _ kernel: String, _ set: String, _ order: String, _ dimensions: Int, _ megabytes: Int,
  _ bytesPerSecond: Double
) {
  let gigabytes = Double(Int(bytesPerSecond / 1e7)) / 100
  print(
    "{\"kernel\": \"\(kernel)\", \"set\": \"\(set)\", \"order\": \"\(order)\", \"dimensions\": "
      + "\(dimensions), \"megabytes\": \(megabytes), \"gb_per_s\": \(gigabytes)}")
  fflush(nil)
}

/// A buffer of whole cache lines with small numbers in it, on huge pages as the index's arrays are.
func makeBuffer(_ bytes: Int) -> UnsafeMutableRawPointer? {
  var pointer: UnsafeMutableRawPointer?
  guard posix_memalign(&pointer, 2 << 20, bytes) == 0, let pointer else { return nil }
  madvise(pointer, bytes, MADV_HUGEPAGE)
  var state: UInt64 = 1
  for offset in stride(from: 0, to: bytes, by: 8) {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    // Bytes below 64: as floats, finite numbers.
    pointer.storeBytes(
      of: state >> 7 & 0x3f3f_3f3f_3f3f_3f3f, toByteOffset: offset, as: UInt64.self)
  }
  return pointer
}

/// Row numbers in an order that no prefetcher of the processor foresees.
func shuffled(_ count: Int) -> [UInt32] {
  var ids = (0..<UInt32(count)).map { $0 }
  var state: UInt64 = 7
  for index in stride(from: count - 1, to: 0, by: -1) {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    ids.swapAt(index, Int((state >> 33) % UInt64(index + 1)))
  }
  return ids
}

/// One hop's worth of rows a call.
let rowsPerCall = 32

func measure(_ kernels: KernelSet, dimensions: Int, bytes: Int, _ data: UnsafeMutableRawPointer) {
  let megabytes = bytes >> 20
  var query = [Int8](repeating: 3, count: (dimensions + 63) & ~63)
  query[0] = 1
  let floatQuery = [Float](repeating: 0.5, count: dimensions)
  var sums = [Int32](repeating: 0, count: rowsPerCall)
  var floats = [Float](repeating: 0, count: rowsPerCall)

  let codeStride = query.count
  let codeRows = bytes / codeStride / rowsPerCall * rowsPerCall
  let codeIDs = shuffled(codeRows)
  report(
    "u8 dot, consecutive rows", kernels.name, "sequential", dimensions, megabytes,
    rate(bytes: codeRows * dimensions) {
      for first in stride(from: 0, to: codeRows, by: rowsPerCall) {
        kernels.dotCodesRange(
          query, data, codeStride, first, rowsPerCall, codeStride, &sums)
      }
    })
  report(
    "u8 dot, rows by number", kernels.name, "random", dimensions, megabytes,
    rate(bytes: codeRows * dimensions) {
      codeIDs.withUnsafeBufferPointer { ids in
        guard let ids = ids.baseAddress else { return }
        for first in stride(from: 0, to: codeRows, by: rowsPerCall) {
          kernels.dotCodes(
            query, data, codeStride, ids + first, rowsPerCall, codeStride, &sums)
        }
      }
    })

  let floatStride = (dimensions * 4 + 63) & ~63
  let floatRows = bytes / floatStride / rowsPerCall * rowsPerCall
  let floatIDs = shuffled(floatRows)
  report(
    "f32 squared l2, rows by number", kernels.name, "random", dimensions, megabytes,
    rate(bytes: floatRows * dimensions * 4) {
      floatIDs.withUnsafeBufferPointer { ids in
        guard let ids = ids.baseAddress else { return }
        for first in stride(from: 0, to: floatRows, by: rowsPerCall) {
          kernels.squaredL2Rows(
            floatQuery, data, floatStride, ids + first, rowsPerCall, dimensions, &floats)
        }
      }
    })
}

let sizes = [32 << 20, 1 << 30]
guard let largest = sizes.last, let data = makeBuffer(largest), let copy = makeBuffer(largest)
else {
  print("no memory for the buffers")
  exit(1)
}
for bytes in sizes {
  report(
    "memory, read", "-", "sequential", 0, bytes >> 20,
    rate(bytes: bytes) { if memchr(data, 0xff, bytes) != nil { exit(1) } })
  report(
    "memory, copied", "-", "sequential", 0, bytes >> 20,
    rate(bytes: bytes) { memcpy(copy, data, bytes) })
}
for kernels in KernelSet.available {
  for dimensions in [128, 384, 784] {
    for bytes in sizes { measure(kernels, dimensions: dimensions, bytes: bytes, data) }
  }
}
