import Glibc
import VecDBKernels

/// What a process chooses for an index it opens. None of it changes any stored byte or any answer.
package struct IndexOptions: Sendable {
  /// Threads that insertion may use.
  package var threads: Int
  /// The kernels that distances are computed with.
  package var kernels: KernelSet
  /// Slots to reserve address space for; nil derives it from the machine's memory.
  package var slotLimit: Int?

  package init(threads: Int = 1, kernels: KernelSet = .current, slotLimit: Int? = nil) {
    self.threads = max(1, threads)
    self.kernels = kernels
    self.slotLimit = slotLimit
  }

  /// Address space for one array at most: twice the machine's memory.
  static let reservationBytesMaximum: Int = {
    let bytes = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
    return max(1 << 30, bytes * 2)
  }()
}
