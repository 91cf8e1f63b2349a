package bench

// CPUSeconds is the processor time of this process so far.
var CPUSeconds = cpuSeconds
