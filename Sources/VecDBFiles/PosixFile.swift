import Glibc

/// An open file of the operating system: a descriptor that is closed with the last reference.
///
/// Reads and writes are positional and hold no state here, so any number of threads may use one
/// at once.
final class PosixFile: FileHandle {
  let path: String
  let descriptor: Int32

  /// Takes over `descriptor`.
  init(descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  // The result of close is of no use here: what must be durable was synced before.
  deinit { _ = close(descriptor) }

  func status() throws -> stat {
    var status = stat()
    _ = try retryingOnInterrupt("examine the file", at: path) { fstat(descriptor, &status) }
    return status
  }

  func sizeBytes() throws -> Int { Int(try status().st_size) }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    guard let base = buffer.baseAddress else { return 0 }
    var done = 0
    while done < buffer.count {
      let count = try retryingOnInterrupt("read the file", at: path) {
        pread(descriptor, base + done, buffer.count - done, off_t(offset + done))
      }
      if count == 0 { break }
      done += count
    }
    return done
  }

  /// The most that one call writes. Kernels from 6.16 on take the page cache of a larger write in
  /// pages of 2 MiB, which a virtual machine may first have to get back from its host: there such a
  /// write was ten times slower.
  private static let writeStepBytes = 256 << 10

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
    guard let base = bytes.baseAddress else { return }
    var done = 0
    while done < bytes.count {
      let step = min(bytes.count - done, Self.writeStepBytes)
      let count = try retryingOnInterrupt("write the file", at: path) {
        pwrite(descriptor, base + done, step, off_t(offset + done))
      }
      // POSIX allows 0 for a regular file only where nothing was asked for; never loop on it.
      guard count > 0 else { throw systemError(EIO, "write the file", at: path) }
      done += count
    }
  }

  func truncate(to sizeBytes: Int) throws {
    _ = try retryingOnInterrupt("change the size of the file", at: path) {
      ftruncate(descriptor, off_t(sizeBytes))
    }
  }

  func sync() throws {
    // fdatasync also writes the size, and leaves out only times. A failure is final: the kernel
    // may have dropped the pages, and a second call would then report success.
    guard fdatasync(descriptor) == 0 else {
      throw systemError(errno, "make the file durable", at: path)
    }
  }

  func reserve(through sizeBytes: Int) throws {
    guard sizeBytes > 0, let fallocate else { return }
    // Beyond the present end the range may be reserved already, which costs nothing.
    let size = try self.sizeBytes()
    guard sizeBytes > size else { return }
    while fallocate(descriptor, keepSize, Int64(size), Int64(sizeBytes - size)) != 0 {
      switch errno {
      case EINTR: continue
      case EOPNOTSUPP, ENOSYS, EINVAL: return
      case let code: throw systemError(code, "reserve space for the file", at: path)
      }
    }
  }

  func startSync() {
    // Queues the dirty pages and waits for none of them; an error shows again in `sync`.
    _ = syncFileRange?(descriptor, 0, 0, startWriting)
  }
}

private typealias SyncFileRange = @convention(c) (Int32, Int64, Int64, UInt32) -> Int32

/// `sync_file_range` of the C library, an extension of Linux that the Swift module of glibc does
/// not declare; nil where there is none.
private let syncFileRange: SyncFileRange? = dlsym(nil, "sync_file_range").map {
  unsafeBitCast($0, to: SyncFileRange.self)
}

private typealias Fallocate = @convention(c) (Int32, Int32, Int64, Int64) -> Int32

/// `fallocate` of the C library, an extension of Linux as well.
private let fallocate: Fallocate? = dlsym(nil, "fallocate").map {
  unsafeBitCast($0, to: Fallocate.self)
}

/// `FALLOC_FL_KEEP_SIZE` of linux/falloc.h.
private let keepSize: Int32 = 1

/// `SYNC_FILE_RANGE_WRITE` of linux/fs.h.
private let startWriting: UInt32 = 2
